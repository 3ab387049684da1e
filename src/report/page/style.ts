import { dark, declareVariables, light } from '../charts/theme.ts';

/** The report's style sheet. Roles of colours are in `theme.ts`. */
export const pageStyle: string = `
:root{${declareVariables(light)};color-scheme:light}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${declareVariables(dark)};color-scheme:dark}}
:root[data-theme=dark]{${declareVariables(dark)};color-scheme:dark}
*{box-sizing:border-box}
html{font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font-variant-numeric:tabular-nums lining-nums}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:2px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
h1,h2,h3{line-height:1.25;margin:0;font-weight:600;text-wrap:balance}
h1{font-size:15px}
h2{font-size:20px}
h2:focus{outline:none}
h3{font-size:15px;margin:28px 0 8px}
p{margin:0 0 8px;max-width:74ch}
code,.listing{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
code{overflow-wrap:anywhere}
.muted{color:var(--muted)}
.name,td,p,li,dd,dt,figcaption,footer,h2,h4{overflow-wrap:anywhere}
.skip{position:absolute;left:8px;top:-60px;background:var(--surface);border:1px solid var(--edge);padding:8px 12px;z-index:9}
.skip:focus{top:8px}
header{background:var(--surface);border-bottom:1px solid var(--line)}
.bar{max-width:1280px;margin:0 auto;padding:10px 20px;display:flex;gap:6px 24px;align-items:center;flex-wrap:wrap}
.bar h1{overflow-wrap:anywhere}
header nav ul{display:flex;flex-wrap:wrap;gap:2px;list-style:none;margin:0;padding:0}
header nav a{display:block;padding:4px 10px;border-radius:4px;text-decoration:none;color:var(--muted)}
header nav a:hover{background:var(--tint);color:var(--text)}
header nav a[aria-current]{color:var(--text);background:var(--tint);font-weight:600}
.bar button{margin-left:auto}
button,input,select{font:inherit;color:inherit;background:var(--surface);border:1px solid var(--edge);border-radius:4px;padding:3px 10px;min-height:30px}
button{cursor:pointer}
button:hover{background:var(--tint)}
main{max-width:1280px;margin:0 auto;padding:24px 20px 64px}
main>section:not(:target):not(:has(:target)){display:none}
main:not(:has(:target))>#traces{display:block}
.lead{display:flex;flex-wrap:wrap;gap:16px 40px;align-items:flex-end;justify-content:space-between;margin-bottom:20px}
.lead .count{font-size:28px;font-weight:600;line-height:1.15;letter-spacing:-.01em}
.lead p{margin:6px 0 0;color:var(--muted)}
.keys{display:flex;flex-wrap:wrap;gap:12px 28px;margin:0}
@media (max-width:640px){.keys{display:grid;grid-template-columns:1fr 1fr}}
.keys div{display:flex;flex-direction:column-reverse}
.keys dd{margin:0;font-size:18px;font-weight:600;line-height:1.2}
.keys dt{color:var(--muted);font-size:12px;max-width:26ch}
.keys small{display:block;font-weight:400;font-size:12px;color:var(--muted)}
.warning{border-left:3px solid var(--anomalous);background:var(--surface);padding:8px 14px;margin:0 0 12px;max-width:none}
.tools{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:center;margin:0 0 8px}
.tools label{color:var(--muted);display:flex;align-items:center}
.tools input{width:min(320px,100%);margin-left:6px;color:var(--text)}
.tools select{margin-left:6px;color:var(--text)}
.tools output{margin-left:auto;color:var(--muted)}
.scroll{overflow-x:auto;background:var(--surface);border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;background:var(--surface)}
th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);vertical-align:baseline}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--tint);font-weight:600;font-size:12.5px;line-height:1.3;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:400}
.n{text-align:right;white-space:nowrap}
.overview thead th{padding:0}
.overview th button{all:unset;box-sizing:border-box;width:100%;display:block;padding:6px 10px;cursor:pointer}
.overview th button:hover{text-decoration:underline;text-underline-offset:3px}
.overview th button:focus-visible{outline:2px solid var(--link);outline-offset:-3px}
.overview th button::after{content:'';display:inline-block;width:12px;text-align:right}
.overview th.n button::after{margin-left:-12px;transform:translateX(10px)}
.overview th[aria-sort=ascending] button::after{content:'▲';font-size:9px}
.overview th[aria-sort=descending] button::after{content:'▼';font-size:9px}
.overview tbody tr:hover>*{background:var(--tint)}
.overview td,.overview tbody th{white-space:nowrap;overflow-wrap:normal}
.overview .name{font-weight:500}
.overview tr[hidden]{display:none}
.family{color:var(--muted)}
.verdict{display:inline-flex;gap:6px;align-items:center;white-space:nowrap}
.verdict::before{content:'';width:8px;height:8px;flex:none;border:1.5px solid currentColor;border-radius:50%}
.verdict.anomalous{color:var(--anomalous);font-weight:600}
.verdict.anomalous::before{background:currentColor;border-radius:0;transform:rotate(45deg) scale(.9)}
.verdict.nominal{color:var(--nominal)}
.verdict.none{color:var(--muted)}
.verdict.none::before{border-radius:0}
.wrong{color:var(--muted);font-size:12px;margin-left:6px;border-bottom:1px dotted var(--edge)}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;margin-top:16px}
.panel{background:var(--surface);border:1px solid var(--line);border-radius:6px;padding:14px 16px;margin:0;min-width:0}
.panel.wide{grid-column:1/-1}
.panel figcaption{font-weight:600;margin-bottom:8px}
.panel figcaption span{display:block;font-weight:400;color:var(--muted);font-size:12.5px}
svg{display:block;max-width:100%;height:auto}
svg a:hover path,svg a:hover circle,svg a:hover rect{stroke-width:3}
.roc,.scatter{margin:0 auto}
.plotbox>.scores{max-width:1080px;margin:0 auto}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:16px;align-items:start}
.facts table{border:1px solid var(--line)}
.facts td,.facts th{padding:3px 12px}
.facts caption{text-align:left;font-weight:600;padding:0 0 6px}
.crumbs{display:flex;gap:16px;margin-bottom:14px}
.crumbs a{white-space:nowrap}
.crumbs .next{margin-left:auto}
.head{display:flex;gap:4px 16px;align-items:baseline;flex-wrap:wrap}
.head h2{overflow-wrap:anywhere;max-height:7.5em;overflow:auto}
.sub{color:var(--muted);margin:4px 0 16px;overflow-wrap:anywhere;max-width:none}
.reasons{margin:0 0 20px;padding-left:18px;max-width:90ch}
.reasons li{margin:2px 0}
.zoom{display:none;font-variant-numeric:tabular-nums;gap:6px;flex-wrap:wrap;margin:0 0 10px;align-items:center}
.js .zoom{display:flex}
.zoom span{color:var(--muted);margin-left:auto}
.plotbox{overflow-x:auto;outline-offset:6px}
.plotbox>svg{min-width:720px;width:100%;touch-action:pan-y}
.plotbox svg svg{max-width:none;height:auto}
.js .timeline{cursor:crosshair}
.patch{background:var(--surface);border:1px solid var(--line);border-radius:6px;margin:0 0 14px}
.patch>h4{margin:0;padding:8px 16px;font-size:14px;border-bottom:1px solid var(--line);display:flex;flex-wrap:wrap;gap:2px 18px;align-items:baseline}
.patch>h4 b{color:var(--anomalous)}
.patch>h4 span{font-weight:400;color:var(--muted)}
.patch>div{padding:10px 16px}
.path{margin:0 0 10px;display:grid;grid-template-columns:max-content 1fr;gap:2px 14px}
.path dt{color:var(--muted)}
.path dd{margin:0;min-width:0}
.came table{min-width:760px}
.came td{font-size:13px}
.patch button{font-weight:400;font-size:13px;min-height:0;padding:1px 8px;margin-left:auto}
.came .scroll,.patch .scroll{border-radius:4px}
.pixels img{image-rendering:pixelated;max-width:100%;width:512px;height:auto;border:1px solid var(--line)}
.strip{overflow-x:auto;margin:10px 0}
.key{display:flex;flex-wrap:wrap;gap:2px 16px;color:var(--muted);font-size:12.5px;margin:0 0 10px;max-width:none}
.key svg{display:inline-block;vertical-align:-5px;margin-right:6px}
.strip svg{max-width:none}
textarea{display:block;font:inherit;color:inherit;background:var(--surface);border:1px solid var(--edge);border-radius:4px;padding:8px 10px;width:100%;max-width:90ch;field-sizing:content;min-height:5em}.notes{margin:8px 0 0}
details.rest{margin-top:16px}
.times{color:var(--muted);margin:0 0 10px;padding-left:18px}
details>summary{cursor:pointer;color:var(--link);margin:8px 0 6px}
.listing{margin:0;overflow-x:auto;border:1px solid var(--line);border-radius:4px}
.listing td{border:0;padding:0 12px;white-space:pre;font:inherit}
.listing td:first-child{color:var(--muted);text-align:right;width:1%}
.listing .inside td{background:var(--patch)}
.listing .place td{color:var(--muted);padding-top:6px}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 56px}
.prose{max-width:74ch}
.prose h3:first-child{margin-top:20px}
.prose ol{padding-left:20px}
.prose ol li{margin:4px 0}
.prose dt{font-weight:600;margin-top:12px}
.prose dd{margin:2px 0 0}
.interval{display:block;width:140px;height:12px}
.tag{font-size:12px;color:var(--muted);border:1px solid var(--line);border-radius:3px;padding:0 6px;white-space:nowrap}
.tag.fitted{color:var(--anomalous);border-color:currentColor}
.group th{background:var(--surface);font-weight:600;padding-top:14px}
footer{max-width:1280px;margin:0 auto;padding:0 20px 32px;color:var(--muted);font-size:12.5px}
.visually-hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.only-print{display:none}
@media (max-width:640px){
.scroll table:not(.overview){min-width:600px}
.overview tr>:nth-child(n+5),.overview tr>:first-child{display:none}.overview tbody th,.overview tbody th .name{white-space:normal;overflow-wrap:anywhere}
.came .scroll,.scroll.came{border:0}.scroll.came table,.came tbody,.came tr,.came td{display:block;min-width:0}.came thead{display:none}.came tr{border:1px solid var(--line);border-radius:6px;margin:0 0 8px;padding:4px 0}.came td{border:0;padding:2px 10px;text-align:left}.came td:empty{display:none}.came td[data-h]::before{content:attr(data-h);display:block;color:var(--muted);font-size:12px}
.bar button{position:absolute;right:12px;top:8px}.bar h1{padding-right:72px}.crumbs .muted{display:none}
main{padding:16px 12px 48px}.bar{padding:8px 12px}.panel{padding:10px}
.lead .count{font-size:23px}th,td{padding:4px 8px}.overview th button{padding:6px 8px}
.patch>div,.patch>h4{padding-left:10px;padding-right:10px}.tools output{margin-left:0}.path{grid-template-columns:1fr}
button,select,input{min-height:36px}
}
@media (prefers-reduced-motion:no-preference){.skip{transition:top .1s}}
@media print{
:root,:root[data-theme=dark],:root:not([data-theme=light]){${declareVariables({ ...light, page: '#ffffff', tint: '#f4f4f2' })};color-scheme:light}
html{font-size:10pt}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav,.skip,.bar button,.notes,.patch button,.tools,.zoom,.crumbs,.overview th button::after{display:none!important}
.only-print{display:block}
header{border:0}.bar,main,footer{max-width:none;padding-left:0;padding-right:0}
main:not(:has(>.trace:target,>.trace :target))>section.page{display:block!important}
body.prints-flagged main:not(:has(>.trace:target,>.trace :target))>section.flagged{display:block!important;break-before:page}
section.page+section.page{margin-top:24pt}
.scroll,.plotbox,.strip,.listing{overflow:visible}
.plotbox>svg,.came table{min-width:0}.strip svg{max-width:100%}
.overview,.overview thead th{font-size:7.5pt}.overview tr>:last-child{display:none}.overview .name{white-space:normal;overflow-wrap:anywhere}.overview tbody th{min-width:14ch}
.overview td,.overview tbody th,.overview th button,.overview thead th{padding:2px 4px}.overview th button{padding:0}.wrong{margin-left:3px;font-size:7pt}
.listing td{white-space:pre-wrap;overflow-wrap:anywhere}details::details-content{content-visibility:visible}
.patch table{font-size:8.5pt}.patch code{font-size:8pt}
th,td{padding:2px 6px}
thead{display:table-header-group}tr,.panel,h3{break-inside:avoid}h2,h3,h4{break-after:avoid}
.panels{grid-template-columns:1fr 1fr}
a{color:inherit;text-decoration:none}
}
@media (forced-colors:active){.verdict::before{forced-color-adjust:none}}
`.trim();
