// Nodejs calls JavaScript from Go: it formats prices as is usual in several
// countries. Node.js contains the tables of ICU for this, and Go does not.
//
//	go run ./examples/nodejs                1234567.891
//	go run ./examples/nodejs 9.99 0.5       your amounts
//
// The workers are processes of Node.js that run worker.js. This script was
// written from docs/wire.md alone, so a worker can be written in any language.
// A pool of processes treats the functions of such a worker as it treats
// functions in Go.
//
// Exit codes: 0 if all prices were formatted, 1 if some were not, 2 if the
// program cannot work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"

	"concert"
)

// price is the argument of the function money in prices.js.
type price struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency"`
	Locale   string  `json:"locale"`
}

var money = Func[price, string]("money")

var countries = []struct{ name, locale, currency string }{
	{"Germany", "de-DE", "EUR"},
	{"France", "fr-FR", "EUR"},
	{"Switzerland", "de-CH", "CHF"},
	{"India", "en-IN", "INR"},
	{"Japan", "ja-JP", "JPY"},
	{"Brazil", "pt-BR", "BRL"},
	{"Poland", "pl-PL", "PLN"},
	{"United States", "en-US", "USD"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := show(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodejs:", err)
	}
	os.Exit(code)
}

// show formats amounts and prints them. It returns the exit code.
func show(ctx context.Context, amounts []string) (code int, err error) {
	if len(amounts) == 0 {
		amounts = []string{"1234567.891"}
	}
	var prices []price
	for _, text := range amounts {
		amount, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 2, fmt.Errorf("%q is no amount: give numbers, such as 9.99", text)
		}
		for _, c := range countries {
			prices = append(prices, price{amount, c.currency, c.locale})
		}
	}
	ex, closed, err := open(2, 1, "prices.js")
	if err != nil {
		return 2, err
	}
	defer func() { err = errors.Join(err, closed()) }()

	i := 0
	for text, err := range concert.Map(ctx, ex, money, slices.Values(prices)) {
		if ctx.Err() != nil {
			return 1, context.Cause(ctx)
		}
		if err != nil {
			text, code = err.Error(), 1
		}
		fmt.Printf("%-14s %s\n", countries[i%len(countries)].name, text)
		if i++; i%len(countries) == 0 && i < len(prices) {
			fmt.Println()
		}
	}
	return code, nil
}
