"""python -m gateways.sim.exchange SETTINGS"""

import sys

from gateways.sim.exchange.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
