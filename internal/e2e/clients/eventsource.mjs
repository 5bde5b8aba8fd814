// It prints the data of all events until the input ends.
import { EventSource } from 'eventsource'

const source = new EventSource(process.argv[2])
source.onmessage = event => console.log('data', event.data)
process.stdin.on('end', () => source.close()).resume()
