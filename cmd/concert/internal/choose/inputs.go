package choose

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"concert/cmd/concert/internal/cli"
	"concert/progress"
)

// maxInputs is the maximum number of lines of the standard input that are used.
// More are not needed, because package choose uses only a sample of the inputs.
const maxInputs = 10_000

// readInputs returns the lines of a reader as inputs. It reads until ctx
// ends.
func readInputs(ctx context.Context, in io.Reader) (inputs []string, err error) {
	type result struct {
		inputs []string
		err    error
	}
	read := make(chan result, 1)
	go func() { // on another goroutine, because a read of a terminal or a pipe cannot be canceled
		inputs, err := readLines(in)
		read <- result{inputs, err}
	}()
	select {
	case r := <-read:
		return r.inputs, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func readLines(in io.Reader) (inputs []string, err error) {
	if progress.IsTerminal(os.Stdin) && in == os.Stdin {
		return nil, cli.UsageError{Text: "no inputs: give them after " + separator + ", or as lines of the standard input"}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for len(inputs) < maxInputs && lines.Scan() {
		if line := strings.TrimSuffix(lines.Text(), "\r"); line != "" {
			inputs = append(inputs, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, cli.UsageError{Text: fmt.Sprintf("standard input, line %d: %v", len(inputs)+1, err)}
	}
	if len(inputs) == 0 {
		return nil, cli.UsageError{Text: "no inputs: the standard input has no lines"}
	}
	return inputs, nil
}
