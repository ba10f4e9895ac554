package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/pflag"
)

// Load fills what the command line left open from the environment and then
// validates the whole. flags is the set given to Bind, already parsed. The
// notes are for the log: one sentence for every variable of otel-add-on that is
// set and has no effect.
func (c *Config) Load(flags *pflag.FlagSet, lookupEnv func(string) (string, bool)) (notes []string, err error) {
	c.origins = make(map[string]origin, len(examples))
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		example := examples[name]
		flag := flags.Lookup(name)
		if flag.Changed {
			c.origins[name] = origin{"--" + name, flag.Value.String(), example}
			continue
		}
		variable := Variable(name)
		if value, ok := lookupEnv(variable); ok {
			if err := c.set(flags, name, value, origin{variable, value, example}); err != nil {
				return nil, err
			}
		}
	}
	notes, err = c.loadAliases(flags, lookupEnv)
	if err != nil {
		return nil, err
	}
	if _, set := c.origins["max-retention"]; !set {
		c.MaxRetention = max(c.MaxRetention, c.Retention)
	}
	return append(notes, c.accessNotes()...), c.Validate()
}

// set gives a setting a value that did not come from the command line.
func (c *Config) set(flags *pflag.FlagSet, name, value string, from origin) error {
	if err := flags.Lookup(name).Value.Set(value); err != nil {
		return fmt.Errorf("%s=%s: %w", from.name, from.value, err)
	}
	c.origins[name] = from
	return nil
}

// Setting is how the user wrote a setting, such as "--retention=5m" or
// "METRIC_STORE_RETENTION_SECONDS=300". value stands in when nobody wrote it.
func (c *Config) Setting(flag string, value any) string {
	if o, ok := c.origins[flag]; ok {
		return o.name + "=" + o.value
	}
	return fmt.Sprintf("--%s=%v", flag, value)
}

// refuse is the error for a setting that cannot be: what the user wrote, why
// not, and what would do.
func (c *Config) refuse(flag string, value any, why string) error {
	o, ok := c.origins[flag]
	if !ok {
		o = origin{"--" + flag, "", examples[flag]}
	}
	return fmt.Errorf("%s: %s, for example %s=%s", c.Setting(flag, value), why, o.name, o.example)
}
