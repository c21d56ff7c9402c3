package goplugin

import (
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

// This benchmark measures hashicorp/go-plugin, to compare it with package
// processes. go-plugin starts one process, and calls it by net/rpc. go-plugin
// has no queue, no limit and no second worker. If its process dies, the calls
// in it are lost. The benchmark is a separate program because go-plugin
// imports gRPC, which adds milliseconds to the start of each program that
// contains it. Run with -benchtime 1x.

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "plugin" {
		servePlugin()
		return
	}
	os.Exit(m.Run())
}

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

// servePlugin is the main function of the plugin.
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

func BenchmarkProcesses(b *testing.B) {
	b.Run("one at a time/go-plugin", func(b *testing.B) {
		withPlugin(b, 10_000, func(c *rpc.Client) {
			var n int
			for i := range 10_000 {
				c.Call("Plugin.Nop", i, &n)
			}
		})
	})
	for _, k := range []int{16, 64, 1024} {
		b.Run(fmt.Sprint(k, " in flight/go-plugin"), func(b *testing.B) {
			withPlugin(b, 100_000, func(c *rpc.Client) {
				var next atomic.Int64
				var all sync.WaitGroup
				for range k {
					all.Go(func() {
						var n int
						for i := next.Add(1); i <= 100_000; i = next.Add(1) {
							c.Call("Plugin.Nop", int(i), &n)
						}
					})
				}
				all.Wait()
			})
		})
	}
	b.Run("64 MiB both ways/go-plugin", func(b *testing.B) {
		big := make([]byte, 64<<20)
		withPlugin(b, 2, func(c *rpc.Client) {
			for range 2 {
				var back []byte
				c.Call("Plugin.Echo", big, &back)
			}
		})
	})
	b.Run("first result/go-plugin", func(b *testing.B) {
		var took time.Duration
		for range b.N {
			begin := time.Now()
			c, kill, err := newPlugin()
			if err != nil {
				b.Fatal(err)
			}
			var n int
			c.Call("Plugin.Nop", 1, &n)
			took += time.Since(begin)
			kill()
		}
		report(b, took, b.N)
	})
	// Measures the time between a call that ends the plugin and the result of
	// the next call.
	b.Run("after a death/go-plugin, started again", func(b *testing.B) {
		var took time.Duration
		for range b.N {
			c, kill, err := newPlugin()
			if err != nil {
				b.Fatal(err)
			}
			begin := time.Now()
			var n int
			c.Call("Plugin.Exit", 1, &n)
			again, killAgain, err := newPlugin()
			if err != nil {
				b.Fatal(err)
			}
			again.Call("Plugin.Nop", 1, &n)
			took += time.Since(begin)
			kill()
			killAgain()
		}
		report(b, took, b.N)
	})
}

func report(b *testing.B, took time.Duration, n int) {
	b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/task")
	b.ReportMetric(0, "ns/op")
}

// withPlugin measures the function run, which calls a plugin n times.
func withPlugin(b *testing.B, n int, run func(*rpc.Client)) {
	c, kill, err := newPlugin()
	if err != nil {
		b.Fatal(err)
	}
	defer kill()
	var out int
	if err := c.Call("Plugin.Nop", 1, &out); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run(c)
	}
	report(b, b.Elapsed(), b.N*n)
}
