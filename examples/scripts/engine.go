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
	steps    = 1000    // of Starlark from one checkpoint to the next
	mostText = 8 << 20 // bytes of a page
)

// engine is one Starlark program with what its scripts share. A goroutine that
// uses it holds the lock.
type engine struct {
	lock    *gil.Lock
	globals starlark.StringDict // guarded by lock
	words   *starlark.Dict      // guarded by lock: of all pages
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

// contextKey is under what a Starlark thread has its context.
const contextKey = "context"

// thread returns a Starlark thread whose steps come by a checkpoint now and
// then, and end with ctx.
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

// count runs the script for a URL, and returns how many words the page has.
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

// fetch is fetch(url) of the scripts: the text of a page. It lets go of the
// lock.
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

// get returns a page.
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
		err = fmt.Errorf("more than %d bytes", mostText)
	}
	return text, err
}

// add is add(words) of the scripts: it adds counts to those of all pages. No
// other script comes in between, as there is no checkpoint.
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

// word is a word, and how often it was there.
type word struct {
	text string
	n    int
}

// frequent returns the most frequent words, at most so many.
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
