package board

// firstCards are what a new board begins with.
func firstCards() []card {
	by := author{Name: "The demo", Hue: 210}
	return []card{
		{Column: todo, Author: by, Text: "Open me in a second window.\nWhat you change in one is in the other at once. In a second browser you are somebody else."},
		{Column: todo, Author: by, Text: "Drag me to another column.\nThe arrows do it too, for fingers and keyboards."},
		{Column: todo, Author: by, Text: "Edit me.\n\n1. As many lines as you like.\n2. <b>HTML</b> & friends stay as typed.\n3. Meanwhile others see that it is you, and wait in line; or take over."},
		{Column: doing, Author: by, Text: "Press Ctrl-C, start me again.\nThe pages wait, come back by themselves, and have missed nothing."},
		{Column: doing, Author: by, Text: "Try all three pages.\nOne board, made with htmx 4, with htmx 2, and with the browser's own EventSource. Compare their templates."},
		{Column: done, Author: by, Text: "Start the demo."},
	}
}
