package board

// firstCards returns the cards of a new board.
func firstCards() []card {
	by := author{Name: "The demo", Hue: 210}
	return []card{
		{Column: todo, Author: by, Text: "Open me in a second window.\nWhat you change in one window shows in the other at once. A second browser makes you a second person."},
		{Column: todo, Author: by, Text: "Drag me to another column.\nThe arrows do the same, for touch screens and keyboards."},
		{Column: todo, Author: by, Text: "Edit me.\n\n1. Write as many lines as you like.\n2. <b>HTML</b> & friends stay as typed.\n3. While you do, others see your name here, and can wait for their turn or take over."},
		{Column: doing, Author: by, Text: "Press Ctrl-C, then start the demo again.\nThe pages reconnect by themselves and miss nothing."},
		{Column: doing, Author: by, Text: "Try all three pages.\nOne board, made with htmx 4, with htmx 2, and with the browser's EventSource. Compare their templates."},
		{Column: done, Author: by, Text: "Start the demo."},
	}
}
