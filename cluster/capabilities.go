package cluster

import (
	"fmt"

	"concert/cluster/internal/wire"
	"concert/executor"
)

// offeredFunctions returns the capability set of a worker that offers functions
// with these names. If names is nil, it offers all registered functions, and no
// declared ones.
func offeredFunctions(names []string) (wire.CapabilitySet, error) {
	c := wire.CapabilitySet{Functions: map[string]string{}}
	if names == nil {
		for _, f := range executor.Functions() {
			if !f.Declared() {
				c.Functions[f.Name()] = wire.Digest(f.Signature())
			}
		}
		return c, nil
	}
	for _, name := range names {
		f, err := executor.Find(name)
		if err != nil {
			return c, fmt.Errorf("cluster: ServeOptions.Functions: %w", err)
		}
		c.Functions[name] = wire.Digest(f.Signature())
	}
	return c, nil
}
