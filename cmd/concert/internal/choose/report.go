package choose

import (
	"fmt"
	"io"
	"strings"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
)

func printReport(w io.Writer, r *choose.Report, quiet bool) error {
	style := cli.StyleFor(w)
	if quiet {
		_, err := fmt.Fprintln(w, r.Verdict.Sentence)
		return err
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "\n%s\n", style.Bold(cli.Wrap(r.Verdict.Sentence, 80)))
	if code := r.Verdict.CodeLines(); len(code) > 0 {
		fmt.Fprintf(out, "\n  %s\n", style.Good(strings.Join(code, "\n  ")))
	}
	fmt.Fprintf(out, "\n%s\n", r.Table())
	for _, line := range r.Verdict.Reasons {
		fmt.Fprintln(out, cli.Wrap(line, 80))
	}
	if len(r.Verdict.Caveats) > 0 {
		fmt.Fprintln(out)
		for _, line := range r.Verdict.Caveats {
			fmt.Fprintln(out, style.Dim(cli.Wrap(line, 80)))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
