"""A run as one page of HTML: charts, tables and words, complete in one file."""
