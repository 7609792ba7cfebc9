"""Studies on storage that is no folder of this machine: object stores, as s3:// and gs://."""
