"""Reading and writing every artifact on disk, as docs/storage.md defines them."""
