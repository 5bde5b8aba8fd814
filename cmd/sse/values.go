package main

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// The mappers parse the values of flags. A duration without a unit is in seconds, as
// in curl and hey.
var mappers = []kong.Option{
	kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(func(text string) (time.Duration, error) {
		if seconds, err := strconv.ParseFloat(text, 64); err == nil {
			return time.ParseDuration(strconv.FormatFloat(seconds, 'f', -1, 64) + "s")
		}
		return time.ParseDuration(text)
	}, "is not a duration; write it like 5s, 1m30s, or 5 for 5 seconds")),
	kong.TypeMapper(reflect.TypeFor[int](), mapper(strconv.Atoi, "is not a whole number, or is too large")),
}

// mapper returns the mapper of a type. An invalid value is an error that says what
// is wrong with it.
func mapper[T any](parse func(string) (T, error), wrong string) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		value, err := parse(text)
		if err != nil {
			return fmt.Errorf("%q %s", text, wrong)
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}
}
