import sys

from aquifer_agent.cli import main

sys.exit(main())
