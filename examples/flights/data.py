"""Every flight that left New York City in 2013, with what was known of it before it left, as one Parquet file in time order.

``python examples/flights/data.py flights.parquet``

What is in it, and what is left out of it, says `wichtel.demo.flights`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wichtel.demo.flights import flights

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("flights.parquet")
    table = flights()
    table.write_parquet(target)
    print(f"{target}: {table.height:,} flights, {table['late'].count():,} of which arrived")
