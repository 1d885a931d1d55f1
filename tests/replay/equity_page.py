"""Reads the page of a what-if as a browser and `equity.js` do: what is fetched, the texts, the values that the paths are."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """`outside`: what a browser would fetch. `plots`: in order."""

    def __init__(self, text):
        super().__init__()
        self.outside, self.tags, self.plots, self.text = [], [], [], ""
        self._path = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag != "meta":
            self._path.append((tag, attrs.get("class", "")))
        links = [attrs.get(n) for n in ("src", "href", "data", "action", "srcset", "poster", "xlink:href")]
        self.outside += [link for link in links if link and not link.startswith("#")]
        if attrs.get("class") == "equity":
            self.plots.append(Plot(float(attrs["data-begin"]), float(attrs["data-unit"]), int(attrs["data-span"])))
        elif (attrs.get("class") or "").startswith("pane "):
            self.plots[-1].pane = (int(attrs["data-top"]), int(attrs["data-exp"]))
        elif (attrs.get("class") or "").startswith("parted"):
            self.plots[-1].parted = float(attrs["data-x"])
        elif tag == "path":
            self.plots[-1].draw(attrs["class"], attrs["d"])

    def handle_endtag(self, tag):
        assert self._path.pop()[0] == tag

    def handle_data(self, data):
        inside = self._path[-1][0] if self._path else ""
        if inside not in ("script", "style"):
            self.text += data
        if inside == "b" and self._path[-2][1] in ("base", "other", "apart"):
            self.plots[-1].told[self._path[-2][1]] = data


class Plot:
    """`lines`: name -> (time in ms, value) of every change, as `equity.js` reads it. `told`: the ends beside the names."""

    def __init__(self, begin, unit, span):
        self.begin, self.unit, self.span = begin, unit, span
        self.lines, self.units, self.told, self.parted, self.pane = {}, {}, {}, None, None

    def draw(self, name, path):
        top, exp = self.pane
        x, y = 0, int(re.match(r"M0 (-?\d+)", path)[1])
        points = [(x, y)]
        for way, by in re.findall(r"([hv])(-?\d+)", path):
            if way == "h":
                x += int(by)
            else:
                y += int(by)
                points.append((x, y))
        assert x == self.span, "a line that does not reach the end"
        self.lines[name] = [(self.begin + at * self.unit, (top - value) * 10.0**exp) for at, value in points]
        self.units[name] = 10.0**exp

    def at(self, name, ms):
        """A line's value at a moment."""
        return [value for when, value in self.lines[name] if when <= ms][-1]
