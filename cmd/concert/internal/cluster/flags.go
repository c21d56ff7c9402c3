package cluster

import (
	"cmp"
	"os"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/internal/serverurl"
)

// clusterFlags are the flags for the address of a cluster and for the key.
type clusterFlags struct{ url, key string }

// flags sets c to the defaults, and returns the flags that change c. The
// parameter key describes the key file in the help.
func (c *clusterFlags) flags(key string) *cli.Flags {
	c.url = cmp.Or(os.Getenv("CONCERT_URL"), serverurl.Default)
	c.key = os.Getenv("CONCERT_KEY")
	f := cli.NewFlags()
	f.Add(&c.url, "url", "URL", "URLs of the servers, with commas between them (default $CONCERT_URL, or "+serverurl.Default+")")
	f.Add(&c.key, "key", "FILE", key+", as 'concertd key' makes it (default $CONCERT_KEY)")
	return f
}

// checkURL returns a UsageError if the URL cannot be the URL of a
// cluster.
func (c *clusterFlags) checkURL() error {
	if err := serverurl.Check(c.url); err != nil {
		return cli.UsageError{Text: "--url: " + err.Error()}
	}
	return nil
}

func (c *clusterFlags) access() cluster.Access { return cluster.Access{Key: c.key} }
