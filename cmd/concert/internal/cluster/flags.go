package cluster

import (
	"cmp"
	"flag"
	"os"

	"concert/cluster"
)

// clusterFlags say which cluster, and with which key.
type clusterFlags struct{ url, key string }

func (c *clusterFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&c.url, "url", cmp.Or(os.Getenv("CONCERT_URL"), "nats://127.0.0.1:4222"), "")
	flags.StringVar(&c.key, "key", os.Getenv("CONCERT_KEY"), "")
}

func (c *clusterFlags) access() cluster.Access { return cluster.Access{Key: c.key} }
