package cmdline_test

import (
	"reflect"
	"testing"

	"concert/internal/cmdline"
)

func TestManual(t *testing.T) {
	flags := []cmdline.Flag{{Name: "-d", Value: "DIR", About: `where \n is (default .)`, Group: "Files"}}
	c := cmdline.Command{Name: "x", Summary: "do-it", Flags: flags, Help: `Usage: concert x A
       concert x B

Does it.
.hidden

  -an example

Flags:

After the flags.

Examples:
  concert x
`}
	want := `.TH CONCERT-X 1 "" concert
.SH NAME
concert\-x \- do\-it
.SH SYNOPSIS
.nf
concert x A
concert x B
.fi
.SH DESCRIPTION
Does it.
\&.hidden
.PP
.nf
  \-an example
.fi
.SH OPTIONS
.SS Files
.TP
\fB\-d\fR \fIDIR\fR
where \en is (default .)
.TP
\fB\-h\fR
print the help
.SH NOTES
After the flags.
.SH EXAMPLES
.PP
.nf
  concert x
.fi
.SH SEE ALSO
concert(1), concert\-y(1)
`
	if got := cmdline.Manual("concert", c, "concert", "concert-y"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestManual_Program: the page of a program must have the text of its help,
// in which the usage is not the first block.
func TestManual_Program(t *testing.T) {
	c := cmdline.Command{Summary: "do it", Help: `It does it.

Usage: it COMMAND

Commands:
  x  do it

Examples:
  it x
`}
	want := `.TH IT 1 "" it
.SH NAME
it \- do it
.SH SYNOPSIS
.nf
it COMMAND
.fi
.SH DESCRIPTION
It does it.
.SH COMMANDS
.PP
.nf
  x  do it
.fi
.SH EXAMPLES
.PP
.nf
  it x
.fi
`
	if got := cmdline.Manual("it", c); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestManual_FlagsInHelp: if the help itself lists flags, they must be in the
// section of options only.
func TestManual_FlagsInHelp(t *testing.T) {
	help := `Usage: it x [flags]

Does it.

Flags:
  --dir DIR   where it
              is (default .)
  --join-advertise HOST:PORT
              an address
  --sync      at once

Limits for each key:
  --tasks N   number of tasks

Exit codes:
  0  success
`
	flags := cmdline.FlagsOf(help)
	want := []cmdline.Flag{
		{Name: "--dir", Value: "DIR", About: "where it is (default .)"},
		{Name: "--join-advertise", Value: "HOST:PORT", About: "an address"},
		{Name: "--sync", About: "at once"},
		{Name: "--tasks", Value: "N", About: "number of tasks", Group: "Limits for each key"},
	}
	if !reflect.DeepEqual(flags, want) {
		t.Errorf("FlagsOf returns %+v, want %+v", flags, want)
	}
	page := `.TH IT-X 1 "" it
.SH NAME
it\-x \- do it
.SH SYNOPSIS
.nf
it x [flags]
.fi
.SH DESCRIPTION
Does it.
.SH OPTIONS
.TP
\fB\-\-dir\fR \fIDIR\fR
where it is (default .)
.TP
\fB\-\-join\-advertise\fR \fIHOST:PORT\fR
an address
.TP
\fB\-\-sync\fR
at once
.SS Limits for each key
.TP
\fB\-\-tasks\fR \fIN\fR
number of tasks
.TP
\fB\-h\fR
print the help
.SH EXIT CODES
.PP
.nf
  0  success
.fi
`
	if got := cmdline.Manual("it", cmdline.Command{Name: "x", Summary: "do it", Help: help, Flags: flags}); got != page {
		t.Errorf("got %s\nwant %s", got, page)
	}
}

// TestFlag_Summary: a summary must not end within parentheses.
func TestFlag_Summary(t *testing.T) {
	for about, want := range map[string]string{
		"key file of a client":                    "key file of a client",
		"number of files, 1 to 1000 (default 16)": "number of files",
		"number of runs (default 10000, or less)": "number of runs",
	} {
		if got := (cmdline.Flag{About: about}).Summary(); got != want {
			t.Errorf("summary of %q = %q, want %q", about, got, want)
		}
	}
}
