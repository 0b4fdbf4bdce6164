"""How `./run` makes its environment and keeps the whole product running on one machine.

`environment` and `console` need nothing but Python's own library, so that `./run` can use them before
anything is installed. `up` (the management command) hands its options to `supervisor`.
"""
