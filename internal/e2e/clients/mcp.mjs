// Each line of the input is a tool to call. It prints the progress, and the answer.
import { createInterface } from 'node:readline'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const client = new Client({ name: 'test', version: '1' })
client.onerror = err => console.log('error', String(err))
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])))
for await (const name of createInterface({ input: process.stdin })) {
  try {
    const onprogress = ({ progress }) => console.log('progress', progress)
    const result = await client.callTool({ name, arguments: {} }, undefined, { onprogress })
    console.log('result', result.content[0].text)
  } catch (err) {
    console.log('error', String(err))
  }
}
await client.close()
