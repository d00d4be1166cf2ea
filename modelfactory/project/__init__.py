"""Files to a validated `Project`: reading YAML and TOML, specs, rules across files, selection."""
