"""`report.html`: a study as one file that can be mailed, read offline, on a phone and on paper."""
