"""Evidence that an audit is what it was: hashes of all that went in and came out, a signature, a bill of materials."""
