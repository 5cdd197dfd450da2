"""What every layer uses: errors, names, values, configuration, time, limits. No chat logic."""
