package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	serveHelp = `Usage: concertd serve [flags]

Runs a server of a cluster. The first start creates the directory of --dir. In
it, "keyring" lists the keys that may use the cluster, and "data" has the stored
tasks and results.

Ctrl-C stops the server; its data stays on the disk. A second Ctrl-C stops it at
once.

Flags:
  --dir DIR              directory of the keyring and the data (default
                         concert-server)
  --listen ADDRESS       address for clients and workers (default
                         127.0.0.1:4222)
  --hosts NAMES          host names and addresses of this server for its
                         certificate, with commas between them (default those of
                         this machine)
  --advertise HOST:PORT  address at which clients of the other servers find this
                         server, if it differs from --listen
  --sync                 write data to the disk before acknowledging it, so that
                         it survives a power failure. An empty task then takes
                         four to six times as long. Without this flag, servers
                         write to the disk every two minutes

Flags of a server that joins others:
  --join SERVERS         the other servers of the cluster: HOST:PORT of their
                         --join-listen, with commas between them
  --name NAME            name of this server, different from those of the others
  --join-listen ADDRESS  address for the other servers, with a fixed port
  --join-advertise HOST:PORT
                         address at which other servers find this server,
                         if it differs from --join-listen

Limits for each key, so that the holder of one key cannot exhaust a server:
  --sessions N           sessions of a client on this server, about one for each
                         program (default 64)
  --connections N        connections of a client to all servers together;
                         negative for no limit (default 128)
  --tasks N              tasks that the servers store for a client, whichever
                         workers they are for; negative for no limit (default
                         32,768)
  --parts N              large values that the servers store, in parts of half a
                         megabyte: N parts of arguments for a client, and N
                         parts of its results from each worker's key; negative
                         for no limit (default 16,384)

Exit codes:
  0  it was stopped by Ctrl-C, SIGTERM or SIGHUP
  1  it could not start
  2  the command line is wrong

Examples:
  One server. 'concertd init' makes its keys:

    concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222

  Three servers form a cluster that continues when one of them is lost. Create
  the keyring on one of them ('concertd init' does it), and copy the directory
  "keyring" to the other two. Then start each server, with its own name. If one
  of them was a single server before, docs/scale.md has the steps:

    concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222 \
        --name one --join-listen 0.0.0.0:6222 \
        --join two.example:6222,three.example:6222
`
	keyHelp = `Usage: concertd key [flags] ROLE NAME

Makes a key for NAME. ROLE is one of

  client   submits tasks, and reads their results
  worker   runs tasks of all clients, and submits none
  admin    may do anything

The secret key is written once and stored nowhere else. Send it to NAME over a
secure channel. Running servers accept the key two seconds later. With three
servers, copy the changed directory "keyring" to the other two.

If the directory of --dir has no keyring, a new keyring is made, and a message
says so. Servers that use another keyring do not accept its keys.

Flags:
  --dir DIR   directory of the keyring and the data (default concert-server)
  --out FILE  new file for the key, which only its owner may read (default print
              the key). The command prints what to do next

Exit codes:
  0  the key was made
  1  it could not be made
  2  the command line is wrong

Examples:
  concertd key --dir /var/lib/concert --out ann.key client ann
  concertd key --dir /var/lib/concert client ann |
      ssh ann@laptop 'umask 077; cat >ann.key'
`
	keysHelp = `Usage: concertd keys [flags]

Prints one line for each holder of a key: the role, the public key and the name.

Flags:
  --dir DIR  directory of the keyring and the data (default concert-server)

Exit codes:
  0  success
  1  there is no keyring, or it could not be read
  2  the command line is wrong

Example:
  concertd keys --dir /var/lib/concert
`
	revokeHelp = `Usage: concertd revoke [flags] NAME

Revokes the key of NAME. Running servers close its connections two seconds
later. Tasks that were submitted with it still run. With three servers, copy the
changed directory "keyring" to the other two.

Flags:
  --dir DIR  directory of the keyring and the data (default concert-server)

Exit codes:
  0  the key was revoked
  1  there is no such key, or the keyring could not be changed
  2  the command line is wrong

Example:
  concertd revoke --dir /var/lib/concert ann
`
)

// helpEnd is the end of the text of help, after the list of commands.
const helpEnd = `  help             list the commands

Examples:
  concertd dev
  concertd init --dir /var/lib/concert
  concertd serve --dir /var/lib/concert --listen 0.0.0.0:4222

Run 'concertd COMMAND -h' for the flags, exit codes and examples of a command,
and 'concertd help COMMAND --man' for its manual page.
`

func help(to io.Writer) {
	fmt.Fprintln(to, "concertd runs a server of a concert cluster, and manages the keys of its clients\nand workers.\n\nUsage: concertd COMMAND [flags]\n\nCommands:")
	for _, c := range commands() {
		fmt.Fprintf(to, "  %-15s  %s\n", strings.TrimSpace(c.name+" "+c.arguments), c.summary)
	}
	fmt.Fprint(to, helpEnd)
}
