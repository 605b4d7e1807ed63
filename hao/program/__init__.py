"""Which engine, partition and options are best: exact search and integer program.

Read `codesign` first, then along the imports: `search` (one search within limits),
`hunt` (what it knows), `shapes`, `lanes`, `sieve`, `engines` (which engines may be in
time), `reach` and `closing` (which may be the best), `sweep` and `exact` (bounds over
all ways, the best way of one engine), `field`, `tables`, `fit`, `graph` (what they work
on), `near`, `formulation`, `rows`, `solver` (the integer program).
"""
