"""What the command line does with data: exporting, erasing, purging."""
