package python_test

import (
	"context"
	"fmt"
	"time"

	"concert"
	"concert/python"
)

// Values of Python's standard library have types in Go: a date, an exact
// decimal number, a time with its zone.
func ExampleDate() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	due := python.Source[time.Time, map[string]any]("due", `
import datetime
import decimal

def due(signed):
    day = signed.date() + datetime.timedelta(days=30)
    return {"day": day, "fee": decimal.Decimal("12.50"), "left": datetime.timedelta(hours=36)}
`)
	bill, err := concert.Submit(ctx, ex, due, time.Date(2026, 11, 1, 9, 30, 0, 0, time.UTC)).Result(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%T %v\n%T %v\n%T %v\n", bill["day"], bill["day"], bill["fee"], bill["fee"], bill["left"], bill["left"])
	// Output:
	// python.Date 2026-12-01
	// python.Decimal 12.50
	// time.Duration 36h0m0s
}

// A registered function converts instances of a Python class. The worker
// sends the value that this function returns.
func ExampleSource_converts() {
	type price struct {
		Amount   int    `json:"amount"`
		Currency string `json:"currency"`
	}
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	prices := python.Source[python.None, []price]("prices", `
import concert

class Money:
    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency

@concert.converts(Money)
def plain_money(m):
    return {"amount": m.amount, "currency": m.currency}

def prices():
    return [Money(5, "EUR"), Money(7, "CHF")]
`)
	fmt.Println(concert.Submit(ctx, ex, prices, python.None{}).Result(ctx))
	// Output: [{5 EUR} {7 CHF}] <nil>
}
