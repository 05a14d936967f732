"""Reports: readers of the record. Nothing here touches a model."""
