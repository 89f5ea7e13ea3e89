// Opens a report in a real browser and says in JSON what went wrong.
// usage: node check.cjs BROWSER FILE PDF; playwright-core and axe-core come from NODE_PATH.
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');

const sizes = [1440, 390];
const schemes = ['light', 'dark'];
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// axe takes most of the time: each size and each scheme once will do.
const judged = (width, scheme) => (width === sizes[0]) === (scheme === schemes[0]);

async function look(browser, file, width, colorScheme, wrong) {
  const where = `${width} px, ${colorScheme}: `;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const page = await context.newPage();
  page.on('console', m => wrong.push(where + 'console: ' + m.text()));
  page.on('pageerror', e => wrong.push(where + 'error: ' + e));
  page.on('request', r => { if (r.url() !== 'file://' + file) wrong.push(where + 'request: ' + r.url()); });
  await page.goto('file://' + file);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) wrong.push(where + `${over} px wider than the window`);
  if (judged(width, colorScheme)) {
    await page.evaluate(() => document.querySelectorAll('details').forEach(d => { d.open = true; }));
    await page.addScriptTag({ path: axe });
    const found = await page.evaluate(values => axe.run(document, { runOnly: values }), rules);
    for (const v of found.violations) wrong.push(where + v.id + ': ' + v.nodes[0].html.slice(0, 200));
  }
  await context.close();
}

// The page's own policy in force: the style must get through it, and the
// keyboard must reach every link, summary and scrolling region.
async function use(browser, file, pdf, wrong) {
  const page = await browser.newPage();
  page.on('console', m => wrong.push('console: ' + m.text()));
  await page.goto('file://' + file);
  if (await page.evaluate(() => getComputedStyle(document.querySelector('.pill')).borderRadius) === '0px') wrong.push('the style is not applied');
  const wanted = await page.evaluate(() => [...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter(e => e.checkVisibility({ contentVisibilityAuto: true })).length);
  const seen = new Set();
  for (let i = 0; i < wanted + 5; i++) {
    await page.keyboard.press('Tab');
    seen.add(await page.evaluate(() => { const e = document.activeElement; return e === document.body ? '' : [...document.querySelectorAll('*')].indexOf(e); }));
  }
  seen.delete('');
  if (seen.size < wanted) wrong.push(`the keyboard reaches ${seen.size} of ${wanted}`);
  await page.pdf({ path: pdf, format: 'A4' });
}

(async () => {
  const [executablePath, file, pdf] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const wrong = [];
  for (const width of sizes) for (const scheme of schemes) await look(browser, file, width, scheme, wrong);
  await use(browser, file, pdf, wrong);
  await browser.close();
  console.log(JSON.stringify(wrong));
})().catch(e => { console.error(String(e)); process.exit(1); });
