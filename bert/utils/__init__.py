"""What every room uses: command lines, errors, files and downloads."""
