package benchmarks

import (
	"net/rpc"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

// hashicorp/go-plugin, as a peer: one process that is called by net/rpc. It has
// no queue, no limit and no second worker, and what it runs is lost with it.

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "CONCERT_BENCHMARK_PLUGIN", MagicCookieValue: "1"}

type nopPlugin struct{}

func (nopPlugin) Server(*plugin.MuxBroker) (any, error) { return new(nopServer), nil }

func (nopPlugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

type nopServer struct{}

func (*nopServer) Nop(n int, out *int) error {
	*out = n
	return nil
}

func (*nopServer) Echo(b []byte, out *[]byte) error {
	*out = b
	return nil
}

func (*nopServer) Exit(int, *int) error {
	os.Exit(3)
	return nil
}

// servePlugin is the plugin's main.
func servePlugin() {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: handshake, Plugins: plugin.PluginSet{"nop": nopPlugin{}}})
}

// newPlugin starts a plugin.
func newPlugin() (calls *rpc.Client, kill func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{"nop": nopPlugin{}}, Cmd: exec.Command(self, "plugin"),
		Logger: hclog.NewNullLogger(),
	})
	conn, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, nil, err
	}
	raw, err := conn.Dispense("nop")
	if err != nil {
		client.Kill()
		return nil, nil, err
	}
	return raw.(*rpc.Client), client.Kill, nil
}
