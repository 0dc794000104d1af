"""The report: what finished runs found, as one page that a clinic can open and keep."""
