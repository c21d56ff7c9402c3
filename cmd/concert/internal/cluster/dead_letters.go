package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/internal/printable"
)

// letters calls the function take with each dead letter.
func letters(ctx context.Context, in *cluster.Inspector, take func(cluster.DeadLetter)) error {
	for next := uint64(1); ; {
		batch, err := in.DeadLetters(ctx, next, letterBatch)
		if err != nil {
			return err
		}
		for _, d := range batch {
			take(d)
			next = d.Number + 1
		}
		if len(batch) < letterBatch {
			return nil
		}
	}
}

// listLetters prints the dead letters. A line may have more than 80 columns,
// because the reasons are not cut.
func listLetters(ctx context.Context, in *cluster.Inspector, asJSON bool, out io.Writer) error {
	var all []cluster.DeadLetter
	err := letters(ctx, in, func(d cluster.DeadLetter) {
		if asJSON {
			json.NewEncoder(out).Encode(d)
			return
		}
		all = append(all, d)
	})
	if err != nil || asJSON {
		return err
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	var keys []string
	for _, d := range all {
		keys = append(keys, d.Client)
	}
	slices.Sort(keys)
	names, err := in.Names(ctx, slices.Compact(keys))
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "number\twhen\tfunction\tinput\tclient\treason")
	for _, d := range all {
		function := cmp.Or(functionName(d.Function), "no task")
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", d.Number, d.At.Format(time.DateTime), function, letterInput(d), holderName(names, d.Client), d.Reason)
	}
	return t.Flush()
}

// letterInput returns the index and the label of the input of a dead letter, as
// in "17 (cat.jpg)".
func letterInput(d cluster.DeadLetter) string {
	switch {
	case d.Index < 0:
		return d.Label
	case d.Label == "":
		return strconv.FormatInt(d.Index, 10)
	}
	return fmt.Sprintf("%d (%s)", d.Index, d.Label)
}

// eachLetter calls the function do with the number of each dead letter that
// the user has selected. After an error, eachLetter continues with the next
// dead letter.
func eachLetter(ctx context.Context, in *cluster.Inspector, which, done string, do func(context.Context, uint64) error, out, errOut io.Writer) error {
	numbers, all, err := letterNumbers(which)
	if err != nil {
		return err
	}
	if all {
		if err := letters(ctx, in, func(d cluster.DeadLetter) { numbers = append(numbers, d.Number) }); err != nil {
			return err
		}
	}
	failed := 0
	for _, n := range numbers {
		if err := do(ctx, n); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed++
			fmt.Fprintf(errOut, "concert status: %s\n", printable.Text(err.Error()))
		}
	}
	fmt.Fprintf(out, "%s %s\n", count(len(numbers)-failed, "dead letter"), done)
	if failed > 0 {
		return cli.ErrReported
	}
	return nil
}
