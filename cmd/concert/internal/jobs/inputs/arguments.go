package inputs

import (
	"fmt"
	"math"
	"slices"

	"concert/cmd/concert/internal/cli"
)

// The words that begin a group of values.
const (
	separator = ":::"
	linked    = ":::+"
)

// Split separates the command, and the groups of values after it.
func Split(args []string) (command []string, groups []Group, err error) {
	command = args
	for i, a := range args {
		switch a {
		case separator, linked:
			if groups == nil {
				command = args[:i:i]
			}
			groups = append(groups, Group{Linked: a == linked, Values: []string{}})
		case "::::", "::::+":
			return nil, nil, cli.UsageError{Text: a + " is not supported: for inputs from a file, use -i FILE"}
		default:
			if n := len(groups); n > 0 {
				groups[n-1].Values = append(groups[n-1].Values, a)
			}
		}
	}
	return command, groups, checkGroups(groups)
}

// checkGroups returns an error if the groups do not make a list of inputs.
func checkGroups(groups []Group) error {
	for i, g := range groups {
		name := separator
		if g.Linked {
			name = linked
		}
		switch {
		case len(g.Values) == 0:
			return cli.UsageError{Text: "nothing after " + name}
		case g.Linked && i == 0:
			return cli.UsageError{Text: linked + " needs a list before it: begin with " + separator}
		case g.Linked && len(g.Values) != len(groups[i-1].Values):
			return cli.UsageError{Text: fmt.Sprintf("%s has %d values, and the list before it has %d: linked lists need the same number of values", name, len(g.Values), len(groups[i-1].Values))}
		}
	}
	return nil
}

// combinations has all combinations of the groups of arguments. It has one
// empty combination if there are no groups.
type combinations struct {
	sources [][]Group // for each source, its groups, which are linked
	total   int       // the number of combinations, at most math.MaxInt
}

func newCombinations(groups []Group) *combinations {
	c := &combinations{}
	for _, g := range groups {
		if g.Linked {
			last := &c.sources[len(c.sources)-1]
			*last = append(*last, g)
		} else {
			c.sources = append(c.sources, []Group{g})
		}
	}
	c.total = 1
	for _, s := range c.sources {
		k := len(s[0].Values)
		if c.total > math.MaxInt/k {
			c.total = math.MaxInt
			break
		}
		c.total *= k
	}
	return c
}

// width returns the number of values in a combination.
func (c *combinations) width() (n int) {
	for _, s := range c.sources {
		n += len(s)
	}
	return n
}

// at returns the values of combination i.
func (c *combinations) at(i int) []string {
	values := make([]string, 0, c.width())
	for _, s := range slices.Backward(c.sources) {
		k := len(s[0].Values)
		for _, g := range slices.Backward(s) {
			values = append(values, g.Values[i%k])
		}
		i /= k
	}
	slices.Reverse(values)
	return values
}
