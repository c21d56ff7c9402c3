package main

import (
	"context"
	"fmt"
	"io"

	"concert/cmd/concert/internal/cli"
	"concert/internal/buildinfo"
)

const versionHelp = `Usage: concert version [flags]

Prints the version of this program, and of the Go release that built it.

Flags:
`

type versionOptions struct{ licenses bool }

// flags returns the flags that change o.
func (o *versionOptions) flags() *cli.Flags {
	f := cli.NewFlags()
	f.Add(&o.licenses, "licenses", "", "print the modules in this program, and their licenses")
	return f
}

var versionCommand = cli.Command{Name: "version", Summary: "print the version", Help: versionHelp, Flags: new(versionOptions).flags(), Run: runVersion}

func runVersion(_ context.Context, args []string, out, _ io.Writer) error {
	var o versionOptions
	flags := o.flags()
	if err := flags.ParseAnywhere(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return cli.UsageError{Text: fmt.Sprintf("unexpected argument %q", flags.Arg(0))}
	}
	if o.licenses {
		return buildinfo.WriteLicenses(out, "concert")
	}
	line, err := buildinfo.Line("concert")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, line)
	return err
}
