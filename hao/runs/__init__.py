"""Run directories: the design file, the records of later steps, the certificate."""
