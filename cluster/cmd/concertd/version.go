package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
)

const versionHelp = `Usage: concertd version

Prints the version of this program, and of the Go release that built it.
`

func version(_ context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	if err := parse(flags, args); err != nil {
		return err
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary has no build information")
	}
	fmt.Fprintf(out, "concertd %s, %s\n", info.Main.Version, info.GoVersion)
	return nil
}
