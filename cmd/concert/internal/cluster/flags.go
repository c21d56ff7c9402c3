package cluster

import (
	"os"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/internal/devserver"
	"concert/internal/serverurl"
)

// clusterFlags are the flags for the address of a cluster and for the key.
type clusterFlags struct{ url, key string }

// flags sets c to the defaults, and returns the flags that change c. The
// parameter key is the description of the key file in the help.
func (c *clusterFlags) flags(key string) *cli.Flags {
	c.url, c.key = os.Getenv(devserver.URLVariable), os.Getenv(devserver.KeyVariable)
	f := cli.NewFlags()
	f.Add(&c.url, "url", "URL", "URLs of the servers, with commas between them (default $CONCERT_URL; without it, "+serverurl.Default+" if there is a key file, and otherwise the server of 'concertd dev')")
	f.Add(&c.key, "key", "FILE", key+", as 'concertd key' makes it (default $CONCERT_KEY)")
	return f
}

// shown returns the URL for output. Without a URL, it is the URL of the default
// server.
func (c *clusterFlags) shown() string {
	found, err := devserver.Find(c.url, c.key)
	if err != nil { // the server has ended since the connection was made
		return "the default server"
	}
	return serverurl.Redacted(found.URL)
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
