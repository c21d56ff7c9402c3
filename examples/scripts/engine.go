package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"concert/gil"
)

//go:embed count.star
var program string

const (
	steps    = 1000    // the number of Starlark steps between two checkpoints
	mostText = 8 << 20 // the maximum number of bytes of a page
)

// engine is one Starlark program with the state that its scripts share. A
// goroutine holds the lock while it uses the engine.
type engine struct {
	lock    *gil.Lock
	globals starlark.StringDict // guarded by lock
	words   *starlark.Dict      // guarded by lock: the words of all pages, with their counts
}

func newEngine() (*engine, error) {
	e := &engine{lock: gil.New(&gil.Options{Times: true}), words: starlark.NewDict(64)}
	err := e.lock.Run(context.Background(), func(ctx context.Context) (err error) {
		e.globals, err = starlark.ExecFileOptions(&syntax.FileOptions{GlobalReassign: true}, e.thread(ctx), "count.star", program, starlark.StringDict{
			"fetch": starlark.NewBuiltin("fetch", e.fetch),
			"add":   starlark.NewBuiltin("add", e.add),
		})
		return err
	})
	return e, err
}

// contextKey is the key under which a Starlark thread stores its context.
const contextKey = "context"

// thread returns a Starlark thread that calls a checkpoint of the lock after
// each 1,000 steps, and that ends when ctx ends.
func (e *engine) thread(ctx context.Context) *starlark.Thread {
	t := &starlark.Thread{Name: "script"}
	t.SetLocal(contextKey, ctx)
	t.OnMaxSteps = func(t *starlark.Thread) {
		gil.Checkpoint(ctx)
		if ctx.Err() != nil {
			t.Cancel(context.Cause(ctx).Error())
		}
		t.SetMaxExecutionSteps(t.ExecutionSteps() + steps)
	}
	t.SetMaxExecutionSteps(steps)
	return t
}

// count runs the script for a URL, and returns the number of words of the page.
func (e *engine) count(ctx context.Context, url string) (n int, err error) {
	err = e.lock.Run(ctx, func(ctx context.Context) error {
		v, err := starlark.Call(e.thread(ctx), e.globals["count"], starlark.Tuple{starlark.String(url)}, nil)
		if err != nil {
			return err
		}
		return starlark.AsInt(v, &n)
	})
	return n, err
}

// fetch implements fetch(url) for the scripts. It returns the text of a page,
// and releases the lock while it downloads.
func (e *engine) fetch(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var url string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "url", &url); err != nil {
		return nil, err
	}
	ctx := t.Local(contextKey).(context.Context)
	var text []byte
	var err error
	gil.Release(ctx, func() { text, err = get(ctx, url) })
	return starlark.String(text), err
}

// get downloads a page and returns its text.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostText+1))
	if err == nil && len(text) > mostText {
		err = fmt.Errorf("the page has more than %d bytes", mostText)
	}
	return text, err
}

// add implements add(words) for the scripts: it adds the counts of a page to
// the counts of all pages. No other script runs in the meantime, because add
// has no checkpoint.
func (e *engine) add(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var words *starlark.Dict
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "words", &words); err != nil {
		return nil, err
	}
	for _, item := range words.Items() {
		before, found, err := e.words.Get(item[0])
		if err != nil {
			return nil, err
		}
		sum := item[1]
		if found {
			if sum, err = starlark.Binary(syntax.PLUS, before, sum); err != nil {
				return nil, err
			}
		}
		if err := e.words.SetKey(item[0], sum); err != nil {
			return nil, err
		}
	}
	return starlark.None, nil
}

// word is a word, and the number of times that it was counted.
type word struct {
	text string
	n    int
}

// frequent returns the most frequent words. The parameter most is the maximum
// number of words.
func (e *engine) frequent(most int) (words []word) {
	e.lock.Do(func(gil.Held) {
		for _, item := range e.words.Items() {
			text, _ := starlark.AsString(item[0])
			n, _ := starlark.AsInt32(item[1])
			words = append(words, word{text, n})
		}
	})
	slices.SortFunc(words, func(a, b word) int { return cmp.Or(b.n-a.n, cmp.Compare(a.text, b.text)) })
	return words[:min(most, len(words))]
}
