package cli

import "testing"

func TestCommand_Manual(t *testing.T) {
	flags := NewFlags()
	flags.Group("Files")
	flags.Add(new("."), "d", "DIR", `where \n is`)
	c := Command{Name: "x", Summary: "do-it", Flags: flags, Help: `Usage: concert x A
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
`
	if got := c.manual(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
