/* A page of a mapped file that cannot be read any more: the disk failed, or somebody made the file shorter. The kernel ends
 * the process for that (SIGBUS); from here on the process says first which file and where. */

/* Say so from now on. Whoever handles SIGBUS already is asked after us. 0, or an errno. Once a process is enough. */
int32_t lockstep_name_gone_pages(void);
