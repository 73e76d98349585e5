"""What `plan` foretells: counts, hours, bytes, and frames that would come and go."""
