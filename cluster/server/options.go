package server

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Defaults of the limits in Options.
const (
	DefaultSessions    = 64
	DefaultConnections = 128
	DefaultTasks       = 1 << 15
	DefaultParts       = 1 << 14
)

// Options configures a Server; nil means the zero value.
type Options struct {
	// Dir is the directory in which the server stores its data. If another
	// server uses the directory, New returns an error. It also does so if Join
	// is set and the directory has the data of a single server, or if Join is
	// nil and the directory has the data of a server that has joined others:
	// see "From one server to three, and back" in docs/scale.md. Empty means a
	// temporary directory, which Close removes.
	Dir string

	// Listen is the address to listen on, such as "127.0.0.1:4222". With port 0
	// the server chooses a free port. Without a Keyring, the address must be
	// one that only this machine can reach. If Listen is empty, the server
	// listens on no address: only [concert/cluster.Access.InProcess] reaches
	// it.
	Listen string

	// SyncAlways makes the server write data to the disk before it acknowledges
	// the data, so a power failure loses no acknowledged data. Without
	// SyncAlways, the server writes data to a file before it acknowledges the
	// data, and writes the file to the disk every two minutes. Then a crash of
	// the process loses nothing, but a power failure of the machine loses the
	// data of up to two minutes. With or without SyncAlways, if three servers
	// have separate power supplies, one of them can lose power without a loss
	// of data. docs/scale.md gives the cost.
	SyncAlways bool

	// Keyring lists the keys that may use the server. Every few seconds, the
	// server checks whether the keyring has changed. Nil means that any client
	// may use the server.
	Keyring *Keyring

	// Hosts are the names and addresses by which clients reach the server. They
	// are in the certificate of the server. Nil means the name of this machine,
	// "localhost", and the addresses of this machine. Hosts is used with a
	// Keyring only.
	Hosts []string

	// Advertise is the HOST:PORT of this server that the other servers of the
	// cluster send to their clients. Set it if clients cannot use the address
	// of Listen, as behind a proxy or in a container.
	Advertise string

	// Sessions is the maximum number of sessions of a client's key on this
	// server. The server refuses further sessions. An executor has one session,
	// and a second session if it has tasks with ids. Sessions of lost clients
	// count for two hours. Sessions is used with a Keyring only. Zero means
	// [DefaultSessions]. New returns an error if Sessions is negative.
	Sessions int

	// Connections is the maximum number of connections of a client's key to all
	// servers together. The servers refuse further connections. An executor has
	// one connection. Workers with one key may have up to 4,096 connections,
	// and admins any number. Connections is used with a Keyring only. Zero
	// means [DefaultConnections], and negative means no limit.
	Connections int

	// Tasks is the maximum number of tasks that the servers store for a
	// client's key, for all capability sets together. For each set, the maximum
	// is 4,096. If there are more tasks, the servers soon remove the oldest
	// ones. The client sends the removed tasks again. A task that was sent and
	// removed four times fails. Tasks is used with a Keyring only. Zero means
	// [DefaultTasks], and negative means no limit.
	Tasks int

	// Parts limits the large values that the servers store, in parts of half a
	// megabyte. A client may have this number of parts of arguments, and the
	// same number of parts of results from each worker's key. If there are more
	// parts, the servers soon remove the oldest ones. Then the tasks that need
	// these parts fail. Parts is used with a Keyring only. Zero means
	// [DefaultParts], which is 8 GiB, and negative means no limit.
	Parts int

	// Join makes the server one of several servers that form a cluster. The
	// cluster survives the loss of fewer than half of its servers. Join
	// requires Listen.
	Join *Join
}

// Join configures how a server joins other servers. The server listens for the
// other servers at a separate address, with TLS, and accepts servers whose
// certificate is from the same Keyring. All servers have a copy of this
// Keyring.
type Join struct {
	Name      string   // name of this server; unique among the servers, and the same after a restart
	Listen    string   // address to listen on for other servers, with a fixed port, such as "0.0.0.0:6222"
	Advertise string   // HOST:PORT by which other servers reach this server; set Advertise if other servers cannot use the address of Listen
	Others    []string // addresses at which the other servers listen for servers, such as "two.example:6222"; the list may also contain this server
}

// OptionError is the error for an option with an invalid value.
type OptionError struct {
	Field   string // name in Options, such as "Listen" or "Join.Name"
	Problem string // what is wrong, to be read after the name, such as `"here": want HOST:PORT`
}

// Error implements error.
func (e *OptionError) Error() string { return "server: Options." + e.Field + " " + e.Problem }

// Check returns an [*OptionError] if an option has an invalid value. It does
// not check Dir and Keyring, so a program can check the other options before it
// creates a directory and a keyring. [New] calls Check before it creates
// anything.
func (o *Options) Check() error {
	if o == nil {
		return nil
	}
	if o.Listen != "" {
		if err := checkListen("Listen", o.Listen, 4222); err != nil {
			return err
		}
	}
	for _, host := range o.Hosts {
		if !isHost(strings.TrimPrefix(host, "*.")) { // a certificate may be for all hosts of a domain
			return &OptionError{"Hosts", fmt.Sprintf("%q: want a host name or an IP address", host)}
		}
	}
	if err := checkAdvertise("Advertise", o.Advertise); err != nil {
		return err
	}
	if o.Sessions < 0 {
		return &OptionError{"Sessions", fmt.Sprintf("is %d: want 1 or more, or 0 for %d", o.Sessions, DefaultSessions)}
	}
	if o.Join == nil {
		return nil
	}
	if o.Listen == "" { // otherwise NATS would never become ready
		return &OptionError{"Listen", "is empty: a server that joins others needs an address to listen on for clients"}
	}
	return o.Join.check()
}

// check returns an error if a field has an invalid value.
func (j *Join) check() error {
	if err := checkListen("Join.Listen", j.Listen, 6222); err != nil {
		return err
	}
	if netip.MustParseAddrPort(j.Listen).Port() == 0 {
		return &OptionError{"Join.Listen", fmt.Sprintf("%q: want a fixed port, as in 0.0.0.0:6222", j.Listen)}
	}
	invalid := func(r rune) bool {
		return strings.ContainsRune(".*>/\\", r) || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	}
	if j.Name == "" || strings.ContainsFunc(j.Name, invalid) {
		return &OptionError{"Join.Name", fmt.Sprintf("%q: want a name without blanks, dots, slashes, * and >", j.Name)}
	}
	if len(j.Others) < 2 {
		return &OptionError{"Join.Others", "needs at least two other servers: if two servers lose their connection, neither has a majority, and the cluster stops"}
	}
	for _, other := range j.Others {
		if !isHostPort(other) {
			return &OptionError{"Join.Others", fmt.Sprintf("%q: want HOST:PORT", other)}
		}
	}
	return checkAdvertise("Join.Advertise", j.Advertise)
}

// checkReachable returns an error if programs on other machines could use the
// server without a key.
func (o *Options) checkReachable() error {
	if o.Keyring != nil {
		return nil
	}
	check := func(field, at string) error {
		if at == "" || netip.MustParseAddrPort(at).Addr().IsLoopback() {
			return nil
		}
		return &OptionError{field, fmt.Sprintf("%q: other machines can reach this address, and without a keyring the server would accept any client and any other server: use a keyring, or an address like 127.0.0.1", at)}
	}
	if err := check("Listen", o.Listen); err != nil || o.Join == nil {
		return err
	}
	return check("Join.Listen", o.Join.Listen)
}

// checkListen checks an address to listen on. The parameter port is the port
// in the example in the error.
func checkListen(field, at string, port int) error {
	if _, err := netip.ParseAddrPort(at); err != nil {
		return &OptionError{field, fmt.Sprintf("%q: want an address and a port, as in 127.0.0.1:%[2]d, or 0.0.0.0:%[2]d for all addresses of this machine", at, port)}
	}
	return nil
}

// checkAdvertise checks an advertised address, which may be empty.
func checkAdvertise(field, at string) error {
	if at != "" && !isHostPort(at) {
		return &OptionError{field, fmt.Sprintf("%q: want HOST:PORT", at)}
	}
	return nil
}

// isHostPort reports whether an address consists of a host and a port number
// from 1 to 65535.
func isHostPort(at string) bool {
	host, port, err := net.SplitHostPort(at)
	if err != nil || !isHost(host) {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// isHost reports whether a text is an IP address or may be the name of a host.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return text != "" && strings.Trim(text, nameCharacters) == ""
}
