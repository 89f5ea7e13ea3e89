// Walks through the pages of a history in a real browser, the way a person
// does, and says in JSON what went wrong.
// usage: node check.cjs BROWSER URL SHOT; playwright-core and axe-core come from NODE_PATH.
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');

const looks = [[1440, 'light'], [390, 'dark']];
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function look(browser, url, width, colorScheme, wrong) {
  const where = `${new URL(url).pathname} at ${width} px, ${colorScheme}: `;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const page = await context.newPage();
  page.on('console', m => wrong.push(where + 'console: ' + m.text()));
  page.on('pageerror', e => wrong.push(where + 'error: ' + e));
  page.on('request', r => { if (r.url() !== url && r.url() !== 'data:,') wrong.push(where + 'request: ' + r.url()); });
  await page.goto(url);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) wrong.push(where + `${over} px wider than the window`);
  await page.addScriptTag({ path: axe });
  const found = await page.evaluate(values => axe.run(document, { runOnly: values }), rules);
  for (const v of found.violations) wrong.push(where + v.id + ': ' + v.nodes[0].html.slice(0, 200));
  await context.close();
}

// The way from the targets to a report, by the links alone and with the pages'
// own policy in force.
async function walk(browser, root, shot, wrong) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const seen = [];
  page.on('console', m => wrong.push('console: ' + m.text()));
  page.on('pageerror', e => wrong.push('error: ' + e));
  page.on('response', r => { if (!r.ok()) wrong.push(`${r.status()} ${r.url()}`); });
  const at = async (what, want) => {
    seen.push(page.url());
    const text = await page.innerText('body');
    if (!text.includes(want)) wrong.push(`${what}: "${want}" is not there`);
    if (await page.evaluate(() => getComputedStyle(document.querySelector('.tag, .pill')).borderRadius) === '0px') wrong.push(what + ': the style is not applied');
  };
  await page.goto(root);
  await at('targets', 'shop');
  await page.click('a:text-is("shop")');
  await at('target', 'Causes over time');
  await page.screenshot({ path: shot });
  const rows = await page.$$eval('svg.trend', all => all.map(s => ({ width: s.getBoundingClientRect().width, dots: s.querySelectorAll('circle').length })));
  if (rows.length === 0 || rows.some(r => r.width < 100 || r.dots === 0)) wrong.push('the trends are not drawn: ' + JSON.stringify(rows));
  const states = await page.$$eval('td[data-label="Now"]', all => all.map(e => e.innerText.trim()));
  for (const s of ['new', 'ongoing', 'gone']) if (!states.includes(s)) wrong.push(`no cause is ${s}: ${states}`);
  await page.click('table >> nth=1 >> tbody tr >> nth=0 >> th a');
  await at('run', 'Against the run before');
  await page.click('a:text-is("Read the report")');
  await at('report', 'What made it slow');
  await page.goBack();
  await page.click('nav a:text-is("culprit")');
  await at('targets again', 'shop');
  await page.goto(root + 'targets/shop');
  await page.click('a:text-is("Runs before these")');
  await at('older runs', 'Newest first');
  await page.close();
  return seen;
}

(async () => {
  const [executablePath, root, shot] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const wrong = [];
  const seen = await walk(browser, root, shot, wrong);
  // The report's own page has such a test in its place.
  for (const url of new Set(seen.filter(u => !u.endsWith('/report.html')))) for (const [width, scheme] of looks) await look(browser, url, width, scheme, wrong);
  await browser.close();
  console.log(JSON.stringify(wrong));
})().catch(e => { console.error(String(e)); process.exit(1); });
