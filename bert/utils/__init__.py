"""What every package uses: command lines, errors, files and downloads."""
