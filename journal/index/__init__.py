"""Finding frames without reading all of them: one index file for each full segment.

An index says where every 64 KiB block of the segment begins (by seq and by time), which kinds, instruments and orders occur in
which blocks, and the last numbers of each source. It can be made again from its segment at any time, so no reader trusts it:
what does not fit its segment is thrown away, and frames found by it are checked like any others. A start of the sequencer does,
where recovery's decision allows it, and reads the segment later (`vouch`).
"""
