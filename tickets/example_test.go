package tickets_test

import (
	"fmt"
	"net/http/httptest"

	"example.org/sse/tickets"
)

func ExampleIssuer() {
	var issuer tickets.Issuer
	ticket := issuer.Issue("ann", "/events") // in a request that has authenticated the user
	for range 2 {
		r := httptest.NewRequest("GET", "/events?ticket="+ticket, nil)
		user, err := issuer.Redeem(r)
		fmt.Printf("%q %v\n", user, err)
	}
	// Output:
	// "ann" <nil>
	// "" tickets: invalid ticket: used
}
